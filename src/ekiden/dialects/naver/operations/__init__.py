"""Operations by subject: each module exports ``OPERATIONS``, with paths below the base; ``routes`` lists them."""
