# Sums the buffer twice: by a loop, and by a function with a longer one.
#! memory 64
    mov r6, r1
    mov r7, 0
    mov r8, 0
sum:
    mov r2, r6
    add r2, r7
    ldxb r3, [r2]
    add r8, r3
    add r7, 1
    jlt r7, 64, sum
    mov r1, r6
    call local again
    xor r0, r8
    exit
again:
    mov r0, 0
    mov r2, 0
round:
    mov r3, r2
    and r3, 63
    mov r4, r1
    add r4, r3
    ldxb r5, [r4]
    add r0, r5
    add r2, 1
    jlt r2, 1000000, round
    exit
