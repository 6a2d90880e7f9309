"""What an edit needs before the model, and what is done with its picture after."""
