"""History becomes foresight: demand series, their class, forecasts of their future and how sure those are. Pure."""
