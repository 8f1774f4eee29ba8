pare data show data/; pare data check data/ -o x.png; pare data preview data/
pare data preview data/ -o x.png --augment rotat=10
pare data preview data/ -o x.png --augment crop=x
pare data preview data/ -o x.gif
