"""The trainer, its loop, and the forms of data that it takes."""
