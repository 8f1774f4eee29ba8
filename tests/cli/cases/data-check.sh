# one file damaged, one image in two splits
mkdir photos photos/train photos/test photos/train/a photos/test/a
cp data/train/images/0000[0-3].png photos/train/a
cp data/test/images/00001.png photos/test/a
cp data/train/images/00002.png photos/test/a/again.png
head -c 200 data/train/images/00004.png > photos/train/a/cut.png
pare data check photos
