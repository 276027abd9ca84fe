"""What is answered: a module for each subject, listed in ``routes``."""
