mkdir mine mine/a
cp data/test/images/0000[0-3].png mine/a
pare data check mine --against data --json
