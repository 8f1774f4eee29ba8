pare data preview data/ -o sheet.png --count 6 --json && pare data preview data/ -o sheet.png
