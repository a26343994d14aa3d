<?php
class Node {
    public ?Node $next = null;
    public function __toString(): string { return "node, then " . $this->next; }
}
$first = new Node;
$first->next = $first;
echo $first, "\n";
