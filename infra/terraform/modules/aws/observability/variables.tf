variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "emails" {
  type        = list(string)
  description = "Who is told."
}

variable "database" {
  type        = string
  description = "Identifier of the database."
}

variable "most_connections" {
  type        = number
  description = "Connections to the database from which somebody is told."
  default     = 400
}

variable "follows" {
  type        = bool
  description = "The database is a replica, whose lag is watched."
  default     = false
}

variable "cache" {
  type        = string
  description = "Identifier of the cache's first node."
}

variable "load_balancers" {
  type        = map(string)
  description = "Load balancers as metrics name them; none where Kubernetes' controller makes it."
  default     = {}
}

variable "kms_key_arn" {
  type        = string
  description = "Key of metrics, logs and the topic."
}
