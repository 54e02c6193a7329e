"""THE RECORD: what one example is, how files become examples, and how answers are read and compared."""
