"""The HTTP API's handlers: plain functions from a `Call` to a `Reply`, one file per area of HubSpot's API."""
