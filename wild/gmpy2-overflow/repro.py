"""A number that is too long for GMP."""

import gmpy2
one = gmpy2.mpz(1)
print((one << (1 << 40)).bit_length())
