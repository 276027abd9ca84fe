"""What received mail says about mail of ours: pure functions over octets, without store, clock or network."""
