"""What the decisions propose: proposals wait for a person's answer, become documents, and are followed until fulfilled."""
