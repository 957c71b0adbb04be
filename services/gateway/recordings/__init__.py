"""What is remembered of live sessions: trends and alerts; scores only, never pictures."""
