"""The store on PostgreSQL, and the server that comes with Ekiden."""
