"""IBM Cloud: the SMTP part of Event Notifications, IAM tokens, context-based restrictions."""
