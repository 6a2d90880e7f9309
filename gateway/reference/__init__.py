"""The API's reference as a page, from this server alone."""
