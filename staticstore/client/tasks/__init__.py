"""Reading within an event loop of asyncio."""
