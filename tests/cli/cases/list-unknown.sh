pare list networks
