"""What only a GPU shows: waits, graphs, streams, memory; rehearsed on CPU arrays without one."""
