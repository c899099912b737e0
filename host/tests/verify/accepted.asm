# A byte of the buffer at an offset that the buffer itself says, bounded by a mask; r6 to r9 and the stack in use.
#! memory 16
#! map counts hash key=4 value=8 entries=1024
#! map recent lru_hash key=16 value=4 entries=64
    ldxb r3, [r1+8]
    stxdw [r10-24], r3
    and r3, 7
    add r1, r3
    ldxb r0, [r1+8]
    jne r0, 0, +2
    mov r1, 7
    call 5
    exit
