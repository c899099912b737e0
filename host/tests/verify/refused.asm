# The offset is bounded on one of the two ways to the load only.
#! memory 16
    ldxb r3, [r1+8]
    ldxb r4, [r1]
    jeq r4, 3, tail     # the other way
    and r3, 7
tail:
    add r1, r3
    ldxb r0, [r1+8]
    exit
