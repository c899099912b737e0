# Where the needle (the first 16 bytes of the buffer) lies in the haystack (the 256 bytes after it): 241 places.
    ldxdw r3, [r1]
    ldxdw r4, [r1+8]
    mov r2, r1
    mov r6, 0
place:
    ldxdw r5, [r2+16]
    jne r5, r3, next
    ldxdw r5, [r2+24]
    jeq r5, r4, found
next:
    add r2, 1
    add r6, 1
    jle r6, 240, place
    mov r0, -1
    exit
found:
    mov r0, r6
    exit
