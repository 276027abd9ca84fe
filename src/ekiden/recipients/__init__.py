"""What is known of recipients: suppressions, opens and clicks, who has unsubscribed."""
