"""Which words have crossed what an operator watches, and how does the receiver of each watch learn of it?"""
