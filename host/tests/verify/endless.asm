# The buffer says how often it goes round, and what it counts never moves.
#! memory 8
    ldxdw r2, [r1]
    mov r0, 0
round:
    jeq r2, 0, done
    add r0, 1
    and r0, 255
    ja round
done:
    exit
