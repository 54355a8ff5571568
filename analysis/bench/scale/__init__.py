"""How the service scales: followers, keys, values, connections, and several leaders."""
