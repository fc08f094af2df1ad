"""How `Pool` works: tasks handed out to workers, who keep f and an x of their own."""
