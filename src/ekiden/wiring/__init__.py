"""Where everything meets: the services of a worker and its HTTP routes."""
