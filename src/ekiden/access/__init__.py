"""Who may send: accounts, their credentials and domains, and proof of being one of them."""
