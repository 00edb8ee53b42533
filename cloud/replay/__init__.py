"""What would it have been: forecasts and policies judged on demand that is past."""
