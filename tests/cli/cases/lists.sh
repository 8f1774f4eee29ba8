pare list
