# Previews leave out the tenth that training validates on.
pare data preview cifar10/ -o other.png
pare data preview data/ -o sheet.png --count 6 --json && pare data preview data/ -o sheet.png
