"""One run from config to student, and the evaluation of a student."""
