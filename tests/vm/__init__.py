"""The virtual machine: a kernel with PPP, 802.1Q, WireGuard and flowtables, where the running one has none of them."""
