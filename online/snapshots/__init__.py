"""What is searched: snapshots loaded, checked and swapped while requests are answered."""
