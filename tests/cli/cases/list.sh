pare list architectures; pare list strategies; pare list preprocessing; pare list formats
