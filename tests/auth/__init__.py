"""The rules, the policies and the words of decisions."""
