# docs/operators.md is what the program says
pare list ops --markdown | diff "$PARE_SOURCE/docs/operators.md" -
