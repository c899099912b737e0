# Puts ten keys into a hash map, each with itself for a value.
    mov r6, 0
next:
    stxdw [r10-8], r6
    lddw_map_index r1, 0
    mov r2, r10
    add r2, -8
    mov r3, r2
    mov r4, 0
    call 2
    add r6, 1
    jlt r6, 10, next
    mov r0, r6
    exit
