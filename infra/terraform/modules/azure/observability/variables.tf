variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "resource_group" {
  type        = string
  description = "Resource group."
}

variable "location" {
  type        = string
  description = "Azure's name of the region."
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything."
}

variable "emails" {
  type        = list(string)
  description = "Who is told."
}

variable "cluster_id" {
  type        = string
  description = "The cluster that is measured."
}

variable "cluster_name" {
  type        = string
  description = "Its name."
}

variable "database_id" {
  type        = string
  description = "The database."
}

variable "cache_id" {
  type        = string
  description = "The cache."
}
