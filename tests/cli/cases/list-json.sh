pare list architectures --json
