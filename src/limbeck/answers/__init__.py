"""Answer types: how an answer is read, compared and written."""
