# A thousand rounds of mixing, six instructions each.
    mov r0, 7
    mov r2, 1000
    lddw r3, 0xd6e8feb86659fd93
round:
    add r0, r3
    mov r4, r0
    rsh r4, 9
    xor r0, r4
    sub r2, 1
    jne r2, 0, round
    exit
