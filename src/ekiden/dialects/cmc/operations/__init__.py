"""Operations by subject: each module exports ``OPERATIONS``; ``routes`` lists them."""
