"""The words of the existing web front end, over the product's own use cases."""
