"""All settings: their model, reading, checking, writing, and the help of each."""
