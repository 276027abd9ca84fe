"""Where links of messages lead: the picture that counts opens, the way of a click, the page to unsubscribe."""
