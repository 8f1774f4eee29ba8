# A set of which nothing can be used: the reasons are the findings.
mkdir idx
printf '\000\000\010\003\000\000\000\012\000\000\000\010\000\000\000\010xx' > idx/train-images-idx3-ubyte
printf '\000\000\010\001\000\000\000\012' > idx/train-labels-idx1-ubyte
pare data check idx
