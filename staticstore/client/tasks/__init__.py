"""What is awaited within an event loop of asyncio: reads, connecting, changes."""
