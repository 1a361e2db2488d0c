"""Reading and checking a corpus of questions and answers; standard library only."""
